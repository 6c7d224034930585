"""Latent Bayesian optimization (zBO) of training trajectories, after Biswas et al. 2023.

A wing is a folder. Each knows only those above it in this list, and so does each module within its
wing:

base           errors     what a person's mistake is called
               storage    HDF5 files and tables, whole or not at all
               channels   what a trajectory holds: β_c, or β_c and β_d
               compared   the models that can be compared, a table
               objectives what can be maximized, a table of formulas over measures
               searches   zBO and its rivals, a table of what each is
               config     one study's settings, checked against config/schema.yaml
               command    what every script does the same way
               own        a person's own functions, by import path
               warm       a step without the seconds that its libraries take to import
data           pictures       one file of a microscope as grey pages with their pixel size
               downloads      published data sets, fetched once
               places         where each image comes from
               labels         labels read, matched to images, numbered
               sources        where pictures come from
               particles      particles found in a picture
               patches        windows cut out of pictures
               nanoparticles  simulated micrographs of clusters of gold spheres
               polar          images on rings about their middle
               images         image sets in [0, 1], with labels where there are any
               unseen         new images, prepared as those of a study were
trainer        pyroved      pyroVED, imported in one place
               perceptron   tanh layers with their gradient, weights in one tensor
               adam         the optimizer of both trainings
               jrvae        the models: build, encode, decode
               network      a model as plain layers and its transform of the pixel grid
               pixels       which pixels a step decodes
               kernels      the decoder's pass for a CPU and for a GPU
               decoder      the jrVAE decoder's likelihood and its gradient in one pass
               loss         the loss of a batch and its gradient
               checkpoint   the state of a long training, kept until its output is written
               start        classes to start from, of a mixture of normals
               training     training along a trajectory, one model or several at once
trajectories   families   trajectory functions
               schedules  what people use by hand, a few forms of each
               vae        trajectories to latent points and back
               space      the feasible search space
search         objective    what is maximized: what a training learned as one number, no labels
               evaluation   one trial: train along a trajectory, keep what that learned, score it
               surrogate    Gaussian process, acquisition, next candidates
               pareto       two objectives: the front, what would add to it, what to take
               collapse     whether a training learned anything, said by name
               stopping     when a search may stop
               course       how far a search has come, of the files that are there
               optimize     the ask/tell loop over the above, for any function
judge          scores        label scores of a trained model; judge only, never optimized
               consensus     classes that several seeds agree on
               baselines     what clustering the pixels gives
               angles        how objects are turned, and their symmetry
               answer        the model to keep, and what it says of each image
               spread        a score over seeds, in words
               claims        what the paper claims, as rules that judge a study's scores
               paper_claims  the paper's claims, each with where it stands
rivals         ground      the measuring ground: many trajectories, several seeds each
               arena       what a search works on
               replay      an arena that looks into the ground's table
               population  a rival with a trainer of its own
               searches    zBO and its rivals
drawing        plots   one function a panel, one shared style
               panels  panels that several figures share, made of a study's files
"""
