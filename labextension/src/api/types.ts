import type { components } from './generated/openapi';

type Schemas = components['schemas'];

export type IExecution = Required<Schemas['ExecutionBody']>;
export type IService = Required<Schemas['ServiceBody']>;
export type IEndpoint = Required<Schemas['EndpointBody']>;
export type ITicket = Required<Schemas['TicketBody']>;
export type IScale = Required<Schemas['ScaleBody']>;
export type IReason = Required<Schemas['ReasonBody']>;
export type IEntry = Required<Schemas['EntryBody']>;
export type IEntryDetail = Required<Schemas['EntryDetailBody']>;
export type IInfo = Required<Schemas['InfoBody']>;
export type INode = Required<Schemas['NodeBody']>;
export type ICheck = Required<Schemas['CheckBody']>;
export type IAmount = Required<Schemas['AmountBody']>;
export type ISample = Required<Schemas['SampleBody']>;
export type IEvent = Required<Schemas['EventBody']>;

/** What the user asks to be run; what is absent is the server's choice. */
export type ISubmission = Partial<Omit<Schemas['SubmissionBody'], 'client'>> & {
  client?: Partial<Schemas['ClientBody']>;
};

/** One thing that the server found wrong with a submission. */
export interface IProblem {
  message: string;
  path: string;
}

/** One page of a list. */
export interface IPage<T> {
  items: T[];
  next_cursor?: string | null;
}
