"""Where two stages or versions of one network part: every matched tensor compared on the same input.

`names` says what can be compared, `opening` loads it, the `*_source` modules give the tensors of each kind of model,
`matching` pairs them, `measures` and `bounds` judge them, `bisect` finds the first bad one on a device, `causes` says
why, `compare` does all of it.
"""

from __future__ import annotations

from mobiledeploy.diff.bounds import Bound
from mobiledeploy.diff.compare import compare
from mobiledeploy.diff.comparison import Comparison
from mobiledeploy.diff.names import SourceName, parse_name
from mobiledeploy.diff.opening import Opener, Options

__all__ = ["Bound", "Comparison", "Opener", "Options", "SourceName", "compare", "parse_name"]
