"""Checks that a network can be redesigned, trained and deployed."""

from dsx.space.probe.probe import fingerprint, probe

__all__ = ["fingerprint", "probe"]
