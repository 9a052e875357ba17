"""The errors of nbkit: a small family, each also a builtin, each saying what to do next."""


class NbkitError(Exception):
    """Any error that nbkit raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__  # KeyError would print its repr


class UnknownParameter(NbkitError, KeyError):
    """A params file or ``--set`` names a section or key that no notebook declares."""


class BadParameter(NbkitError, ValueError):
    """A parameter has the wrong type or lies outside its range, or a params file cannot be read."""


class BadNotebook(NbkitError, ValueError):
    """A notebook breaks the rules of a stage: no parameters cell, a load that nobody saves."""


class UnknownStage(NbkitError, KeyError):
    """No notebook of that name."""


class UnknownRun(NbkitError, KeyError):
    """No run of that name."""


class RunInUse(NbkitError, RuntimeError):
    """Another process is working in this run folder."""


class MissingScrap(NbkitError, KeyError):
    """The neighbour notebook does not hand over a value of that name."""


class UnfinishedStage(NbkitError, RuntimeError):
    """The neighbour notebook did not run to its end, so nothing may be read from it."""


class CorruptArtifact(NbkitError, OSError):
    """The bytes in the store are not those that were saved."""


class UnknownKind(NbkitError, TypeError):
    """There is no format for a value of that type."""


class UntrustedType(NbkitError, TypeError):
    """A model holds a type that this project does not vouch for."""


class BadSource(NbkitError, ValueError):
    """A data source cannot be read."""


class BadSplit(NbkitError, ValueError):
    """A split cannot be made of this table."""


class BadContract(NbkitError, ValueError):
    """A contract file cannot be read or contradicts itself."""


class BadFeature(NbkitError, ValueError):
    """A feature is declared that cannot be built from the table."""


class BadCriterion(NbkitError, ValueError):
    """A success criterion, a metric or a cost cannot be read."""


class BadModel(NbkitError, ValueError):
    """A model cannot be trained, scored or explained as asked."""


class BadProblem(BadModel):
    """What is to be predicted contradicts itself or the table."""


class UnknownVersion(NbkitError, KeyError):
    """The registry has no such model, version or alias."""


class StorageFailed(NbkitError, OSError):
    """The place where runs are kept cannot be read or written."""


class ServiceFailed(NbkitError, RuntimeError):
    """The scoring service did not start or did not answer."""


class NoWarmKernel(NbkitError, RuntimeError):
    """No kernel can be forked here, so it is started the ordinary way."""


class NoCluster(NbkitError, ConnectionError):
    """No Dask scheduler answers."""


class Refusal(NbkitError):
    """A gate says no: the run stops here, on purpose, with exit code 3."""


class ContractViolation(Refusal, ValueError):
    """The data break the contract with blocking severity."""


class LeakedFeature(Refusal, ValueError):
    """A feature is not known at prediction time."""


class GateClosed(Refusal, PermissionError):
    """A model version may not move on."""
