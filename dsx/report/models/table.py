"""Quality of models as a table, as sentences, as JSON or CSV."""

from collections.abc import Sequence

from dsx.report.text import print_rows
from dsx.search import ModelQuality


def models_document(models: Sequence[ModelQuality]) -> list[dict[str, object]]:
    """Describe models as plain rows.

    Args:
        models: Quality of the model of each objective.

    Returns:
        Values by key; tau is None for a model that is not fitted, or to too few designs.
    """
    return [
        {
            "metric": each.metric,
            "model": each.kind,
            "designs": each.designs,
            "kendall_tau": each.tau,
            "used": each.used,
        }
        for each in models
    ]


def model_conditions(models: Sequence[ModelQuality]) -> dict[str, str]:
    """Describe models in sentences, for the conditions of a front.

    Args:
        models: Quality of the model of each objective.

    Returns:
        Sentence by name of the condition.
    """
    return {f"model of {each.metric}": _sentence(each) for each in models}


def _sentence(model: ModelQuality) -> str:
    if model.kind == "closed form":
        return "exact, by its closed form"
    if model.tau is None:
        return f"{model.kind}, {model.designs} designs, too few to tell how well it predicts"
    unused = "" if model.used else "; ignored, because it does not predict"
    return (
        f"{model.kind}; each of {model.designs} designs predicted from the others: rank "
        f"correlation (tau) {model.tau:.2f}{unused}"
    )


def print_models(models: Sequence[ModelQuality], format: str) -> None:
    """Print how well the models of a study predict to stdout.

    Args:
        models: Quality of the model of each objective.
        format: "table" or "csv"; JSON is a part of the document of the front.
    """
    rows = [
        {**row, "kendall_tau": "" if row["kendall_tau"] is None else row["kendall_tau"]}
        for row in models_document(models)
    ]
    if format == "table":
        rows = [
            {
                "metric": row["metric"],
                "model": row["model"],
                "designs": row["designs"],
                "tau": "-" if row["kendall_tau"] == "" else f"{row['kendall_tau']:.2f}",
                "used": "yes" if row["used"] else "no",
            }
            for row in rows
        ]
    print_rows(rows, format, {}, "models")
