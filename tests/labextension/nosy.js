// Tries everything that a page of Jupyter's origin may do, and writes down what came of it.
const TERMINALS = '/api/terminals';
const tries = {
  own: async () => (await (await fetch('data.json')).json()).own,
  ownPost: async () => (await (await fetch('data.json', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })).json()).own,
  contents: async () => (await fetch('/api/contents', { credentials: 'include' })).text(),
  executions: async () => (await fetch('/zoe/api/executions', { credentials: 'include' })).text(),
  plainExecutions: async () => (await fetch('/zoe/api/executions')).text(),
  lab: async () => (await fetch('/lab', { credentials: 'include' })).text(),
  otherPage: async () => (await fetch('/zoe/at/nosy/nosy.page.web/', { credentials: 'include' })).text(),
  terminal: async () => {
    const sent = await fetch(TERMINALS, { method: 'POST', credentials: 'include' });
    return sent.text();
  },
  blindTerminal: async () => {
    // Whether it did anything is seen by the test.
    await fetch(TERMINALS, { method: 'POST', credentials: 'include', mode: 'no-cors' });
    throw new Error('nothing to read');
  },
  socket: path => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/zoe/api/events`);
    socket.onmessage = message => resolve(message.data);
    socket.onerror = () => reject(new Error('refused'));
  }),
  cookie: async () => document.cookie || 'empty',
  storage: async () => Object.keys(localStorage).join() || 'empty',
  parent: async () => {
    if (window.parent === window) {
      throw new Error('alone');
    }
    return window.parent.document.title;
  },
  frame: () => new Promise((resolve, reject) => {
    const frame = document.createElement('iframe');
    frame.src = '/api/status';
    frame.onload = () => {
      try {
        resolve(frame.contentDocument.body.textContent || 'empty');
      } catch (error) {
        reject(error);
      }
      if (!frame.contentDocument) {
        reject(new Error('not readable'));
      }
    };
    document.body.append(frame);
  }),
  worker: async () => String(await navigator.serviceWorker.register('script.js'))
};
const told = {};
for (const [name, attempt] of Object.entries(tries)) {
  try {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('late')), 4000));
    told[name] = `got ${String(await Promise.race([attempt(), late])).slice(0, 200)}`;
  } catch (error) {
    told[name] = `no: ${error}`;
  }
}
document.getElementById('told').textContent = JSON.stringify(told);
