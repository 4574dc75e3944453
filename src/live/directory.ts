/** Who is connected to which node, as this node knows it. Each node numbers its changes: what comes out of order is read anew. */

export interface NodeHint {
  readonly nodeId: string;
  /** Version of the node after the changes. */
  readonly version: number;
  readonly arrived: readonly string[];
  readonly left: readonly string[];
}

export function isNodeHint(message: unknown): message is NodeHint {
  const { nodeId, version, arrived, left } = (message ?? {}) as { readonly [Key in keyof NodeHint]?: unknown };
  return typeof nodeId === "string" && Number.isSafeInteger(version) && isTexts(arrived) && isTexts(left);
}

interface KnownNode {
  readonly version: number;
  readonly userIds: ReadonlySet<string>;
}

export class Directory {
  readonly #nodes = new Map<string, { version: number; readonly userIds: Set<string> }>();
  /** On how many nodes each user is. */
  readonly #counts = new Map<string, number>();

  /** `onChange` is called with users who have come to their first node, or left their last one. */
  constructor(private readonly onChange: (userIds: readonly string[]) => void) {}

  has(userId: string): boolean {
    return this.#counts.has(userId);
  }

  nodeIds(): string[] {
    return [...this.#nodes.keys()];
  }

  find(nodeId: string): KnownNode | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Applies the changes where they are the next ones. False where something before them is missing. */
  apply({ nodeId, version, arrived, left }: NodeHint): boolean {
    const node = this.#nodes.get(nodeId);
    if (node === undefined || version > node.version + 1) return false;
    if (version <= node.version) return true;
    node.version = version;
    this.#change(node.userIds, { arrived, left });
    return true;
  }

  /** Everything that is connected to the node, unless more is known already. */
  set(nodeId: string, { version, userIds }: { readonly version: number; readonly userIds: readonly string[] }): void {
    const node = this.#nodes.get(nodeId) ?? { version, userIds: new Set() };
    if (version < node.version) return;
    this.#nodes.set(nodeId, node);
    node.version = version;
    const now = new Set(userIds);
    this.#change(node.userIds, { arrived: userIds, left: [...node.userIds.difference(now)] });
  }

  delete(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    this.#change(node.userIds, { arrived: [], left: [...node.userIds] });
    this.#nodes.delete(nodeId);
  }

  #change(userIds: Set<string>, { arrived, left }: Pick<NodeHint, "arrived" | "left">): void {
    const changed: string[] = [];
    for (const userId of left) {
      if (!userIds.delete(userId)) continue;
      const count = (this.#counts.get(userId) ?? 1) - 1;
      if (count > 0) this.#counts.set(userId, count);
      else {
        this.#counts.delete(userId);
        changed.push(userId);
      }
    }
    for (const userId of arrived) {
      if (userIds.has(userId)) continue;
      userIds.add(userId);
      const count = this.#counts.get(userId) ?? 0;
      this.#counts.set(userId, count + 1);
      if (count === 0) changed.push(userId);
    }
    if (changed.length > 0) this.onChange(changed);
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
