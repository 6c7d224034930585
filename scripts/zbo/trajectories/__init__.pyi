from .families import sample as sample
from .schedules import forms as forms
from .space import parameter_space as parameter_space, search_space as search_space
from .vae import TrajectoryVAE as TrajectoryVAE, TrajectoryVAESettings as TrajectoryVAESettings
