"""Train a regressor: the progression of diabetes after a year, by ten measurements."""

import joblib
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split

data = load_diabetes(as_frame=True, scaled=False)
train, held_out = train_test_split(data.frame, test_size=0.4, random_state=0)
features = list(data.data.columns)
model = RandomForestRegressor(200, min_samples_leaf=5, random_state=0)
model.fit(train[features], train["target"])
joblib.dump(model, "diabetes.joblib")
# Rows that the model has not seen, with their true values: for the expected error and the interval.
held_out.to_csv("diabetes.csv", index=False)
print(f"R² on held-out rows: {model.score(held_out[features], held_out['target']):.2f}")
