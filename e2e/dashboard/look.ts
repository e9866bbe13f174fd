// What is measured on a page: axe's rules, and the rules of ours that axe doesn't know.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const rules = {
  /** WCAG 2.2 AA is all of these. */
  all: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
  /** What another theme can change. */
  colours: { type: "rule", values: ["color-contrast", "link-in-text-block"] },
};

interface AxeResults {
  violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[];
}

/** What axe finds wrong, a line each. */
export async function axe(page: Page, which: keyof typeof rules): Promise<string[]> {
  // By the debugger, which the content policy does not bind; once a page.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axeSource);
  const { violations } = await page.evaluate(
    (runOnly) =>
      (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run({
        runOnly,
        resultTypes: ["violations"],
      }),
    rules[which],
  );
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`.replaceAll(/\s+/g, " ")),
  );
}

/** What sticks out at the side, at the width that the page has now. */
export async function overflow(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll<HTMLElement>("body *")].filter((element) => {
      if (element.closest(".scroll, .wire, .nav, .chips, .sr")) return false;
      return element.getBoundingClientRect().right > width + 0.5;
    });
    const names = wide.slice(0, 5).map((element) => `${element.tagName.toLowerCase()}.${element.className}`);
    return [`${document.documentElement.scrollWidth} px of ${width}: ${names.join(", ")}`];
  });
}

/** Controls that are too small to be hit. Links in running text may be (WCAG 2.5.8). */
export async function smallTargets(page: Page, least: number): Promise<string[]> {
  return page.evaluate((least) => {
    const controls = document.querySelectorAll<HTMLElement>(
      "button, summary, input:not([type=hidden]), select, textarea, a.b, a.chip, nav a, .pager a",
    );
    const small = [];
    for (const control of controls) {
      if (control.closest(".sr") || control.matches(".skip")) continue;
      const { width, height } = control.getBoundingClientRect();
      if (width === 0 || height === 0) continue;
      if (width < least - 0.5 || height < least - 0.5) {
        const name = control.textContent?.trim().slice(0, 30) || control.id || control.className;
        small.push(`${control.tagName.toLowerCase()} “${name}”: ${Math.round(width)} × ${Math.round(height)}`);
      }
    }
    return small;
  }, least);
}
