/** What the builder puts into the page, and what the modules hand each other. Checked by `tsc`, not shipped. */

export type Decision = "accept" | "reject" | "flag";
export type Preference = "a" | "b" | "same";
export type Line = "reference" | "one" | "two";

export interface Rule {
  colour: string;
  width: number;
  casing: number;
  dash: number[];
}

export interface Rules {
  casing: { colour: string; opacity: number };
  field: Rule;
  reference: Rule;
  before: Rule;
  after: Rule;
}

export interface Figures {
  dice_before: number | null;
  dice_after: number | null;
  relative_polyp_area: number | null;
  size: string;
  outcome_before: string;
  outcome_after: string;
}

export interface Case {
  case: string;
  number: number;
  run: string;
  cohort: string;
  frame: string;
  patient: string;
  sequence: string;
  centre: string;
  device: string;
  mode: string;
  width_px: number;
  height_px: number;
  prediction: string;
  shown_sha256: string;
  figures: Figures | null;
  why: string;
  image: string;
  field: string;
  reference: string | null;
  boxed: boolean;
  one: string;
  two: string;
  uncertainty: { one: string; two: string } | null;
  values: Record<string, number>;
}

export interface PageData {
  review: string;
  created: string;
  version: string;
  runs: string[];
  models: { before?: string; after?: string };
  part: string;
  order: string;
  blinded: boolean;
  referenced: boolean;
  phantom: boolean;
  rules: Rules;
  sizes: string[];
  line_display_px: number;
  thinnest_whole: number;
  thinnest_lines: number;
  cases: Case[];
  words: Record<string, Record<string, string>>;
}

/** A reviewer's answer to one case; a reading time without a decision is kept as well. decided: the last change. */
export interface Answer {
  decision: Decision | null;
  reasons: string[];
  note: string;
  preference: Preference | null;
  ms: number;
  decided: string | null;
}

/** A change that can be taken back: what was said of the case before. */
export interface Change {
  case: string;
  before: Answer;
}

/** What the browser keeps. loaded: when answers of a file took the place of those that were here. */
export interface Saved {
  reviewer: string;
  exported: string | null;
  loaded: string | null;
  answers: Record<string, Answer>;
  history: Change[];
  changed: boolean;
}

export interface Exported {
  schema: string;
  review: string;
  version: string;
  reviewer: string;
  exported: string;
  blinded: boolean;
  answers: Array<Answer & { case: string; prediction: string }>;
  checksum?: string;
}
