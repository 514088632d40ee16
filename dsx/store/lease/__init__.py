"""The lease: the exclusive right of one process to run a study."""

from dsx.store.lease.lease import Lease, claim

__all__ = ["Lease", "claim"]
