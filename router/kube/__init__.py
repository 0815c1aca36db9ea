"""The Kubernetes API: watches, status, Events. SHELL, the only importer of kubernetes."""
