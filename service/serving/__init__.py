"""The model at work in a replica: loading, predicting, and what follows a response."""
