"""Other people's test data, which is not ours to pass on: it lies beside the checkout.

MAIL_MATERIAL names the folder. Without it the tests that read it are skipped, but
never where CI=true.
"""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("MAIL_MATERIAL") or CHECKOUT.parent / "shared" / "material")


def material_files(pattern: str) -> list[Path]:
    """The files a glob finds there, for `parametrize`; pytest skips a test with none.

    Raises FileNotFoundError under CI=true, where the data must be.
    """
    found = sorted(FOLDER.glob(pattern))
    if not found and os.environ.get("CI") == "true":
        raise FileNotFoundError(f"no {pattern} in MAIL_MATERIAL")
    return found
