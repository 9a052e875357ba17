"""The kernels that JupyterLab offers when nbkit starts it: Python is the warm one."""

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager


class WarmSpecs(KernelSpecManager):
    """Gives nbkit's kernel for notebooks that ask for python3, which all stages do."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return what a kernel is started by."""
        name = "nbkit" if kernel_name == "python3" and "nbkit" in self.find_kernel_specs() else kernel_name
        spec: KernelSpec = super().get_kernel_spec(name)
        # the logos that are asked for are those of the name that is shown
        spec.resource_dir = self.find_kernel_specs().get(kernel_name, spec.resource_dir)
        return spec
