"""The CNI plugin's executable: a static C program that hands every call to the CNI server."""
