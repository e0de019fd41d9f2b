/**
 * The closed lists of words in PEFT's config. A word that is in none of them is an error wherever it comes in: what it
 * would mean is unknown, and the harmless reading would be a guess.
 */

/** The words of `init_lora_weights`, as PEFT spells them. */
export const INIT_WORDS = [
  'gaussian',
  'eva',
  'olora',
  'pissa',
  'pissa_niter_N',
  'corda',
  'loftq',
  'orthogonal',
  'lora_ga',
  'mica',
] as const;

/** PEFT compares these without their case, the others as they stand. */
const ANY_CASE = /^(?:gaussian|olora|mica)$/i;
const AS_IT_STANDS = /^(?:eva|pissa|pissa_niter_\d{1,4}|corda|loftq|orthogonal|lora_ga)$/;

/** What a word of `init_lora_weights` is to PEFT, in PEFT's spelling; null for a word that PEFT does not know. */
export function initWord(word: string): string | null {
  if (ANY_CASE.test(word)) return word.toLowerCase();
  return AS_IT_STANDS.test(word) ? word : null;
}

/** True for an initialisation that takes A and B out of the base weight. @param init - as `initWord` gives it */
export function changesBase(init: boolean | string): boolean {
  return typeof init === 'string' && /^(?:pissa|pissa_niter_\d+|olora|corda|loftq|lora_ga)$/.test(init);
}

/** The values of `bias`. */
export const BIAS_WORDS = ['none', 'all', 'lora_only'] as const;
export type BiasWord = (typeof BIAS_WORDS)[number];

export function isBiasWord(value: unknown): value is BiasWord {
  return BIAS_WORDS.some((word) => word === value);
}

/** The values of `task_type` besides null: PEFT refuses to load any other. */
export const TASK_TYPES = [
  'SEQ_CLS',
  'SEQ_2_SEQ_LM',
  'CAUSAL_LM',
  'TOKEN_CLS',
  'QUESTION_ANS',
  'FEATURE_EXTRACTION',
] as const;
