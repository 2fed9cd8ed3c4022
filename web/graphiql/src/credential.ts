// The credential that the visitor has entered. It goes with each request and each connection, from every tab, and is kept nowhere.

/** `wanted` once the server has refused anything: before that nobody need know of credentials. */
type State = { value: string; refused: boolean; wanted: boolean };

const NAMES = ['authorization', 'x-api-key'];

let state: State = { value: '', refused: false, wanted: false };
const listeners = new Set<() => void>();

export const current = () => state;

export function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function change(next: State) {
  state = next;
  for (const listener of listeners) listener();
}

/** Take what was typed or pasted, with `Bearer` or without; answers whether it is another than before. */
export function enter(text: string): boolean {
  const value = text.trim().replace(/^bearer\s+/i, '');
  if (value === state.value) return false;
  change({ ...state, value, refused: false });
  return true;
}

/** Note whether the server let the last request or connection in. */
export function heard(refused: boolean) {
  if (refused !== state.refused) change({ ...state, refused, wanted: state.wanted || refused });
}

/** The headers of a request: where the Headers editor has a credential of its own, that one counts. */
export function withCredential(headers: Record<string, string> = {}): Record<string, string> {
  if (!state.value || Object.keys(headers).some(name => NAMES.includes(name.toLowerCase()))) return headers;
  return { ...headers, Authorization: `Bearer ${state.value}` };
}
