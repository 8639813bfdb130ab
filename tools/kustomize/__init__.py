"""Makes deploy/kustomize of the Helm chart, for GitOps without helm."""
