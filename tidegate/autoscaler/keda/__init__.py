"""The autoscaler as an external scaler of KEDA: KEDA asks for the number, and Kubernetes' HPA sets it."""
