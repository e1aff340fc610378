"""The harness's side of the page by which a child process is harmed from inside (injected/sitecustomize.py)."""

from __future__ import annotations

from pathlib import Path

from tests.faults.injected.sitecustomize import DEATH, ERROR, PAGE, SHORT, Page

__all__ = ["DEATH", "ERROR", "INJECTED", "SHORT", "Page", "new_page"]

#: What goes on a child's PYTHONPATH.
INJECTED = Path(__file__).parent / "injected"


def new_page(path: Path) -> Page:
    """Make a page that harms nothing yet."""
    path.write_bytes(PAGE.pack(*[0.0] * (PAGE.size // 8)))
    page = Page(str(path))
    page.put("torn", -1)
    return page
