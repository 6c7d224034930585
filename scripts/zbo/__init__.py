"""Latent Bayesian optimization (zBO) of training trajectories, after Biswas et al. 2023.

Each module is one idea and imports only from those above it in this list:

errors           what a person's mistake is called
storage          HDF5 files, whole or not at all, with their provenance
config           one study's settings, checked against config/schema.yaml
command          what every script does the same way
image_sources    where images come from
nanoparticles    simulated micrographs of clusters of gold spheres
images           image sets in [0, 1], with labels where there are any
adam             the optimizer of both trainings
families         trajectory functions
trajectory_vae   trajectories to latent points and back; the feasible search space
decoder          the jrVAE decoder's likelihood and its gradient in one pass
jrvae            the models and their training along a trajectory
objective        what is maximized: structural similarity of the learned manifolds
evaluation       one trial: train along a trajectory, score, say what failed
surrogate        Gaussian process, acquisition, next candidates, when to stop
stopping         when a search may stop
optimize         the ask/tell loop over the above, for any function
scores           label scores of a trained model; judge only, never optimized
plots            one function a panel, one shared style
panels           panels that several figures share, made of a study's files
"""
