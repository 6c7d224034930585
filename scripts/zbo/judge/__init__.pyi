from .scores import label_scores as label_scores
