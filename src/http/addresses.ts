/** Where a request comes from, when some of what stands in between may be believed. */
import { BlockList, isIP, isIPv6 } from "node:net";

/** The client's IP address: `X-Forwarded-For` counts from right to left, as far as trusted proxies wrote it. */
export function createAddressReader(
  trustedProxies: readonly string[],
): (request: Request, peer: Deno.Addr) => string | null {
  const trusted = new BlockList();
  for (const proxy of trustedProxies) {
    const [address = "", bits] = proxy.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(bits), family);
  }
  const isTrusted = (address: string) => trusted.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  return (request, peer) => {
    if (!("hostname" in peer)) return null;
    if (trustedProxies.length === 0 || !isTrusted(peer.hostname)) return peer.hostname;
    const hops = request.headers.get("x-forwarded-for")?.split(",").map(withoutPort).filter((hop) => isIP(hop) !== 0) ??
      [];
    return hops.findLast((hop) => !isTrusted(hop)) ?? hops[0] ?? peer.hostname;
  };
}

/** `1.2.3.4:5678` and `[::1]:5678` as some proxies write them. */
function withoutPort(hop: string): string {
  const [, bracketed, dotted] = /^\s*(?:\[([^\]]+)\](?::\d+)?|(\d+(?:\.\d+){3}):\d+)\s*$/.exec(hop) ?? [];
  return bracketed ?? dotted ?? hop.trim();
}
