"""Train a LightGBM classifier: whether a tumour is malignant, by thirty measurements of its cells."""

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

data = load_breast_cancer(as_frame=True)
names = [name.replace(" ", "_") for name in data.feature_names]
rows = data.data.set_axis(names, axis=1)
train, held_out, label, _ = train_test_split(rows, data.target, test_size=0.4, random_state=0)
booster = lightgbm.train(
    {"objective": "binary", "num_leaves": 15, "verbosity": -1, "seed": 0},
    lightgbm.Dataset(train, label),
    num_boost_round=60,
)
booster.save_model("tumour.txt")
held_out.assign(target=data.target_names[data.target[held_out.index]]).to_csv(
    "tumour.csv", index=False
)
