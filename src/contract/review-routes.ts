// The rows of the API's table about proposals and decisions.
import type { NodeApi } from './api.ts'
import * as reviews from './review-shapes.ts'
import { rest, type Route } from './route.ts'
import { listOf, text } from './shape.ts'

const dataset = { dataset: text }
const D = '/datasets/:dataset'
const read = { method: 'GET', answer: 'value', role: 'reader', tag: 'review' } as const
const write = { method: 'POST', answer: 'value', role: 'member', tag: 'review' } as const

export const reviewRoutes = {
  listReviews: {
    ...read,
    path: `${D}/reviews`,
    args: ['dataset', rest],
    abortable: true,
    fields: { ...dataset, ...reviews.reviewListFilter },
    returns: listOf(reviews.ReviewEntry),
    summary: 'Proposals that wait for a decision, oldest first; at most 1,000 at once',
  },
  listProposals: {
    ...read,
    path: `${D}/proposals`,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.proposalFilter },
    returns: reviews.ProposalPage,
    summary: 'Proposals page by page, with what became of them and why',
  },
  review: {
    ...write,
    answer: 'operation',
    path: `${D}/review/run`,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.reviewFields },
    returns: reviews.ReviewResult,
    summary: 'Signs one verdict on proposals or parts of them, all or nothing',
  },
  queue: {
    ...read,
    abortable: true,
    path: `${D}/review/queue`,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.queueFields },
    returns: reviews.QueuePage,
    summary: 'What waits, operation by operation, with all that a decision needs',
  },
  queueCounts: {
    ...read,
    abortable: true,
    path: `${D}/review/counts`,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.countFields },
    returns: reviews.QueueCounts,
    summary: 'How much waits, in groups',
  },
  select: {
    ...write,
    abortable: true,
    path: `${D}/review/selections`,
    status: 201,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.selectionFields },
    returns: reviews.Selection,
    summary: 'Freezes what passes a filter now, to be decided as one',
  },
  checkDecisions: {
    ...write,
    abortable: true,
    path: `${D}/review/check`,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.decisionFields },
    returns: reviews.CheckResult,
    summary: 'What decisions would do; signs nothing',
  },
  decide: {
    ...write,
    abortable: true,
    path: `${D}/reviews`,
    args: ['dataset', rest],
    fields: { ...dataset, ...reviews.decideFields },
    returns: reviews.Decided,
    summary: 'Signs many decisions, and says of every item what became of it',
  },
} as const satisfies Partial<Record<keyof NodeApi, Route>>
