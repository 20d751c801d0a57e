/** When it is its turn, in the words of the user; empty: Zoe's own choice. */
export interface ITurn {
  priority: string;
  estimate: string;
  begin: string;
}

export const TURN = ['priority', 'estimate', 'begin'] as const;

export const ANY_TURN: ITurn = { priority: '', estimate: '', begin: '' };
