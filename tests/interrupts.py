"""Interrupts at each line of a module, of which a signal reaches only a few by chance."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

Trace = Callable[[FrameType, str, Any], "Trace | None"]


def interrupt_each_line(module: ModuleType, action: Callable[[], None]) -> int:
    """Repeat an action, interrupted at the first executed line of a module, the second, and so on.

    Args:
        module: The module.
        action: The action, which may end the interrupts with `sys.settrace(None)`.

    Returns:
        The number of interrupted repetitions, after which one ended without an interrupt.
    """
    interrupted = 0
    before = sys.gettrace()
    while True:
        sys.settrace(_raising(module, interrupted))
        try:
            action()
        except KeyboardInterrupt:
            interrupted += 1
        else:
            return interrupted
        finally:
            sys.settrace(before)


def _raising(module: ModuleType, skipped: int) -> Trace:
    """Return a trace function that interrupts after a number of lines of a module."""
    left = skipped

    def trace(frame: FrameType, event: str, _: Any) -> Trace | None:
        nonlocal left
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
        return trace

    return trace
