// Where a text chooses kernels: `kernel v8, v10` of the file and of each scenario, not `kernel x extends y { … }`, which declares one.

/** The part of a Lezer tree that is walked here. */
export interface SyntaxTree {
  readonly topNode: SyntaxNode;
}

interface SyntaxNode {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly firstChild: SyntaxNode | null;
  readonly nextSibling: SyntaxNode | null;
}

/** The names of the kernels, from the first to the last; `scenario`: where the scenario begins whose choice it is, undefined for that of the file. */
export interface KernelChoice {
  readonly from: number;
  readonly to: number;
  readonly scenario: number | undefined;
}

function* children(node: SyntaxNode): Generator<SyntaxNode> {
  for (let child = node.firstChild; child; child = child.nextSibling) yield child;
}

function namesOf(node: SyntaxNode): { from: number; to: number } | undefined {
  const parts = [...children(node)];
  if (parts.some((part) => part.name === "KernelBase" || part.name === "VariantBody")) return undefined;
  const names = parts.filter((part) => part.name === "KernelName");
  return names.length === 0 ? undefined : { from: names[0].from, to: names[names.length - 1].to };
}

/** In the order of the text. Without recursion: a tree may be as deep as its text is long. */
export function kernelChoices(tree: SyntaxTree): KernelChoice[] {
  const found: KernelChoice[] = [];
  const pending: { node: SyntaxNode; scenario: number | undefined }[] = [{ node: tree.topNode, scenario: undefined }];
  while (pending.length > 0) {
    const { node, scenario } = pending.pop()!;
    if (node.name === "Kernel") {
      const names = namesOf(node);
      if (names) found.push({ ...names, scenario });
      continue;
    }
    if (node.name === "Setup") continue;
    for (const child of children(node)) pending.push({ node: child, scenario: scenario ?? (node.name === "Scenario" ? node.from : undefined) });
  }
  return found.sort((a, b) => a.from - b.from);
}
