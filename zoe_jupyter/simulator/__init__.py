"""Replays workloads through the scheduler's own ``decide``, and says how long everybody would have waited.

Lives here: traces, the authors' synthetic workload and the site's history as workloads; the discrete-event simulation; its statistics and plots; the
command ``jupyter zoe simulate``. Must not live here: decisions (they are the scheduler's), anything that the engine needs. Imports ``scheduler`` and
``client``, and reads descriptions of clusters with ``shop.reading``.
"""
