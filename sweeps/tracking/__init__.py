"""MLflow as a mirror of a sweep's folder.

The folder (journal, epoch log, artifacts) is the truth. A process of its own, `python -m sweeps.tracking FOLDER`,
projects it into MLflow and follows it as it grows, so a slow or dead server can neither slow a sweep nor lose
anything of it. Every run is found again by its tags `sweep.id` and `sweep.trial`, so sending twice is harmless.
"""
