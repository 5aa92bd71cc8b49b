"""Run by the Python of a peer: the same LightGBM behind scikit-learn's encoders, as a peer's guide has it.

python pipeline.py mlflow|bentoml TABLE.parquet TARGET FOLDER
"""

from __future__ import annotations

import sys
from typing import Any


def fitted(path: str, target: str) -> Any:
    import lightgbm
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    table = pandas.read_parquet(path)
    rows, truth = table.drop(columns=target), table[target]
    texts = [name for name in rows if not pandas.api.types.is_numeric_dtype(rows[name])]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    columns = make_column_transformer((encoder, texts), remainder="passthrough", verbose_feature_names_out=False)
    learner = lightgbm.LGBMClassifier if truth.nunique() <= 50 else lightgbm.LGBMRegressor
    model = learner(n_estimators=300, num_leaves=63, learning_rate=0.05, verbose=-1, n_jobs=1)
    return make_pipeline(columns, model).fit(rows, truth)


def keep(peer: str, model: Any, folder: str) -> None:
    if peer == "mlflow":
        import mlflow.sklearn

        mlflow.sklearn.save_model(model, folder, serialization_format="cloudpickle")
    else:
        import joblib

        joblib.dump(model, folder)


if __name__ == "__main__":
    peer, table_path, target_name, place = sys.argv[1:]
    keep(peer, fitted(table_path, target_name), place)
