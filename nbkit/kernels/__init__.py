"""Fresh kernels at the price of a fork: a server that has imported what notebooks import and computed nothing."""

from nbkit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "preload": ["find_preload", "read_imports"],
        "client": ["use_server"],
        "environment": ["make_environment"],
        "provisioner": ["WarmProvisioner"],
    },
)
