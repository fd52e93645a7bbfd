"""When a trial stops. Pure: the same objects decide in a running sweep and in its replay."""
