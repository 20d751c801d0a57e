import type { IEntry, IExecution, INode } from '../src/api/types';

/** An execution as the server answers, with what a test cares about. */
export function execution(changes: Partial<IExecution> = {}): IExecution {
  return {
    id: 'e1',
    name: 'spark-1',
    title: 'Apache Spark',
    entry: 'spark',
    owner: 'ann',
    state: 'running',
    outcome: null,
    reason: null,
    target: { goal: 'run', elastic: {} },
    parameters: {},
    services: [],
    endpoints: [],
    connections: ['spark'],
    queue: null,
    lifetime: { after_s: null, idle_s: null, together_with: null, grace_s: 600, ends_at: null },
    labels: {},
    parent: '',
    created_at: 100,
    started_at: 110,
    ended_at: null,
    progress: '',
    scalable: [],
    leases: 0,
    notebook: '',
    main_service: '',
    priority: 'batch',
    priority_number: 100,
    estimate_s: null,
    is_assumed: false,
    begins_at: null,
    done_s: 0,
    demands: [],
    story: [],
    ...changes
  };
}

export function entry(changes: Partial<IEntry> = {}): IEntry {
  return {
    name: 'spark',
    kind: 'framework',
    title: 'Apache Spark',
    summary: 'Distributed DataFrames and SQL',
    version: '4',
    tags: ['engine', 'sql'],
    audience: 'user',
    source: 'frameworks',
    connections: ['spark'],
    is_runnable: true,
    lacks: [],
    has_logo: false,
    ...changes
  };
}

export function node(changes: Partial<INode> = {}): INode {
  return {
    name: 'here',
    capacity: { cores: 4, memory_bytes: 2 ** 33, gpus: 0 },
    reserved: { cores: 1, memory_bytes: 2 ** 30, gpus: 0 },
    services: 1,
    is_enabled: true,
    drains_at: null,
    cores: null,
    about: '',
    ...changes
  };
}
