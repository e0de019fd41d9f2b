/**
 * Jinja templates. The build puts what is used of the package into this file; `models/text/chat-template.ts` calls it.
 */
import { Template as Whole } from '@huggingface/jinja';

export interface JinjaTemplate {
  render(variables: Record<string, unknown>): string;
}

/** @throws Error for a text that is no template */
export const Template: new (text: string) => JinjaTemplate = Whole;
