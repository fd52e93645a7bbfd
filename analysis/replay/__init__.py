"""Schedulers compared on recorded learning curves, in simulated time.

logs, synthetic   where the curves come from: recorded sweeps, or a generator with collapse
curves            the curves as arrays, and one epoch as the row a scheduler reads
verdicts          the health verdict after every epoch, also under another grace or patience
simulate          workers, trials and epochs as events, decided by the schedulers of `sweeps/schedulers/`
regret            what the runs cost and found, with bootstrap intervals over the orders
recommend         which scheduler is right for sweeps like these, at equal spend
output, figure    tables, JSON, the regret curve
command           `python -m analysis replay`
"""
