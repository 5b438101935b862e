"""How right each variant of a bundle is on pictures, in the terms of the job.

`pictures` reads what to judge on, `figures` says what is measured, `execute` measures, `bounds` judges.
"""

from __future__ import annotations

from mobiledeploy.verify.bounds import Bounds, check_bounds, check_request
from mobiledeploy.verify.execute import verify
from mobiledeploy.verify.figures import Verification
from mobiledeploy.verify.pictures import Pictures, folder_pictures, sample_pictures

__all__ = [
    "Bounds",
    "Pictures",
    "Verification",
    "check_bounds",
    "check_request",
    "folder_pictures",
    "sample_pictures",
    "verify",
]
