from .checkpoint import Checkpoint as Checkpoint
from .jrvae import (
    Encoding as Encoding,
    ModelSettings as ModelSettings,
    build as build,
    encode as encode,
    manifolds as manifolds,
)
from .training import (
    History as History,
    TrainingDiverged as TrainingDiverged,
    TrainingSettings as TrainingSettings,
    train as train,
)
