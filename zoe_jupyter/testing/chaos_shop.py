"""The shop of a home for fault tests: programs that sleep, start slowly, do not want to end, end at once, or cannot start."""

from __future__ import annotations

PROGRAM = '["{{ python }}", "-I", "-S", "{{ folder }}/sleeper.py", "{{ folder }}", "{{ service.name }}", "{{ service.attempt }}"'
CREW = f"""
zoe: 1
kind: framework
name: crew
version: "1"
title: Crew
parameters:
  type: object
  properties:
    workers: {{type: integer, minimum: 1, maximum: 4, default: 2}}
processes:
  head:
    command: {PROGRAM}]
    ports: {{rpc: {{protocol: tcp}}}}
    resources: {{cores: 0.1, memory: 64MiB}}
    ready: {{log: "^awake", timeout_s: 60}}
    restart: {{delay_s: 0.2}}
    stop: {{grace_s: 2}}
  worker:
    after: [head]
    count: {{core: 1, elastic: "{{{{ parameters.workers - 1 }}}}"}}
    command: {PROGRAM}]
    resources: {{cores: 0.1, memory: 64MiB}}
    ready: {{log: "^awake", timeout_s: 60}}
    restart: {{delay_s: 0.2}}
    drain: {{command: ["{{{{ python }}}}", "-I", "-S", "-c", "print('drained')"], timeout_s: 10}}
    stop: {{grace_s: 2}}
"""
ONE = f"""
zoe: 1
kind: framework
name: NAME
version: "1"
title: One service
processes:
  main:
    command: {PROGRAM}, MANNER]
    ports: {{rpc: {{protocol: tcp}}}}
    resources: {{cores: CORES, memory: 64MiB}}
    ready: {{log: "^awake", timeout_s: 120}}
    restart: {{delay_s: 0.2}}
    stop: {{grace_s: 60}}
"""
SLEEPER = """
import os, signal, sys, time
folder, name, attempt, *manner = sys.argv[1:]
def waits():
    while not os.path.exists(f"{folder}/allowed"):
        time.sleep(0.02)
def ends(*_):
    waits()
    os._exit(0)
if manner == ["stubborn"]:
    signal.signal(signal.SIGTERM, ends)
with open(f"{folder}/launches", "a") as file:
    file.write(f"{name}#{attempt} {os.getpid()} {os.environ['ZOE_SERVICE']}\\n")
if manner == ["slow"]:
    waits()
print("awake", flush=True)
time.sleep(600)
"""
JOB = """
zoe: 1
kind: framework
name: job
version: "1"
title: Job
ends_with: main
processes:
  main:
    command: ["{{ python }}", "-I", "-S", "-c", "print('done')"]
    resources: {cores: 0.1, memory: 64MiB}
    restart: {when: never}
"""
BROKEN = """
zoe: 1
kind: framework
name: broken
version: "1"
title: Broken
processes:
  main:
    command: ["/nowhere/at/all"]
    resources: {cores: 0.1, memory: 64MiB}
    restart: {when: never}
"""
