"""Schedulers compared on recorded learning curves, in simulated time.

logs, synthetic   where the curves come from: recorded sweeps, or a generator with collapse
curves            the curves as arrays, and one epoch as the row a scheduler reads
verdicts          the health verdict after every epoch, also under another grace or patience
policies          what can be replayed: the object that `sweeps/` runs, and the baselines `median` and `hyperband`
simulate          workers, trials and epochs as events
regret            what the runs cost and found, with bootstrap intervals over the orders
output, figure    tables, JSON, the regret curve
command           `python -m analysis replay`
"""
