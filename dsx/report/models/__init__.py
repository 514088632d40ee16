"""Quality of the models by which the designs of a study are screened."""

from dsx.report.models.table import model_conditions, models_document, print_models

__all__ = ["model_conditions", "models_document", "print_models"]
