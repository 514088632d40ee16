"""Training: one loop for all candidates, which can be resumed after any step."""

from dsx.train.checkpoint import is_checkpoint, losses_in
from dsx.train.loop import Report, train
from dsx.train.optimizers import DECISION_BETAS, DECISION_RATE
from dsx.train.precision import chosen_precision
from dsx.train.prediction import predict

__all__ = [
    "DECISION_BETAS",
    "DECISION_RATE",
    "Report",
    "chosen_precision",
    "is_checkpoint",
    "losses_in",
    "predict",
    "train",
]
