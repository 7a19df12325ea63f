"""How well a score tells examples of another kind from those of the kind that was learned."""

import numpy as np
from jaxtyping import Float


def detection(
    inside: Float[np.ndarray, " examples"], outside: Float[np.ndarray, " others"], name: str
) -> dict[str, float]:
    """{name_auroc, name_auprc} of scores that should be higher outside: the areas under the ROC curve and under
    precision over recall, where "outside" is what is looked for (scikit-learn's `roc_auc_score` and
    `average_precision_score`). By chance the first is 0.5, the second the share of examples from outside.

    NaN where a score is not finite.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores = np.concatenate([inside, outside]).astype(np.float64)
    if not np.isfinite(scores).all():
        return {f"{name}_auroc": float("nan"), f"{name}_auprc": float("nan")}
    labels = np.concatenate([np.zeros(len(inside), bool), np.ones(len(outside), bool)])
    return {
        f"{name}_auroc": float(roc_auc_score(labels, scores)),
        f"{name}_auprc": float(average_precision_score(labels, scores)),
    }
