"""What services in containers have in common, on whatever runs them: names, places, images, ports, the environment; connections and kept files.

Must not live here: drivers, and what only one backend knows. Called by ``backends/docker`` and ``backends/kubernetes``.
"""
