// What the tests of the TDX module share: a TD that is built by hand, as text.

/** A TD `td` with key id 33 that is being built: `vcpus` vCPUs, tables as far as level 1 of the first 2 MB, no page yet. */
export function building(vcpus = 1, init = "TDH.MNG.INIT(td)"): string {
  const vcpu = (index: number): string => `
  tdvpr${index} = alloc_frame()
  vcpu${index} = TDH.VP.CREATE(td, tdvpr${index}) = TDX_SUCCESS
  repeat 5 as i {
    vpcx${index}[i] = alloc_frame()
    TDH.VP.ADDCX(vcpu${index}, vpcx${index}[i]) = TDX_SUCCESS
  }
  TDH.VP.INIT(vcpu${index}) = TDX_SUCCESS`;
  return `
  root = alloc_frame()
  td = TDH.MNG.CREATE(root, 33) = TDX_SUCCESS
  TDH.MNG.KEY.CONFIG(td) = TDX_SUCCESS
  repeat 6 as i {
    tdcx[i] = alloc_frame()
    TDH.MNG.ADDCX(td, tdcx[i]) = TDX_SUCCESS
  }
  ${init} = TDX_SUCCESS${Array.from({ length: vcpus }, (_, index) => vcpu(index)).join("")}
  repeat 3 as i {
    table[i] = alloc_frame()
    TDH.MEM.SEPT.ADD(td, 0, 3 - i, table[i]) = TDX_SUCCESS
  }`;
}

/** The same, finalized, with a page `a` at 0x1000 full of 0x41. */
export const running = (vcpus = 1, init?: string): string => `${building(vcpus, init)}
  a = alloc_frame()
  source = alloc_frame()
  store_frame(source, 0x41)
  TDH.MEM.PAGE.ADD(td, 0x1000, a, source) = TDX_SUCCESS
  TDH.MR.FINALIZE(td) = TDX_SUCCESS`;

export const scenario = (body: string, setup = "", watch = ""): string => `scenario "tdx" {\n  kernel 6.18\n${watch}\n${setup}\n${body}\n}\n`;
