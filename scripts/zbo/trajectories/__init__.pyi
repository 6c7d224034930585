from .families import constants as constants, sample as sample
from .space import search_space as search_space
from .vae import TrajectoryVAE as TrajectoryVAE, TrajectoryVAESettings as TrajectoryVAESettings
