"""The kernels that JupyterLab offers when nbkit starts it: Python is the warm one."""

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager


class WarmSpecs(KernelSpecManager):
    """Gives nbkit's kernel for notebooks that ask for python3, which all stages do."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return what a kernel is started by."""
        spec: KernelSpec = super().get_kernel_spec(kernel_name)
        if kernel_name == "python3" and "nbkit" in self.find_kernel_specs():
            shown, spec = spec, super().get_kernel_spec("nbkit")
            # what JupyterLab writes into a notebook, and the logo it asks for, stay those of the name
            spec.display_name, spec.resource_dir = shown.display_name, shown.resource_dir
        return spec
