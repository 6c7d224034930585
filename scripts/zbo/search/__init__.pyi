from .objective import (
    Learned as Learned,
    ObjectiveSettings as ObjectiveSettings,
    Score as Score,
    score as score,
)
from .optimize import Optimizer as Optimizer, Settings as Settings
from .surrogate import Proposal as Proposal, propose as propose
