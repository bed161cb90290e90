"""From phase throughputs to pools: rate matching, candidates, the Pareto front."""
