"""The input side: files are read, checked and written once as a memory-mapped Arrow file. No torch.

A reader (`trainables.data.cache.Reader`) turns what the user has into `Samples`; `trainables.data.cache.prepare`
keeps the result; trials open it with `trainables.data.store.open_dataset`.
"""
