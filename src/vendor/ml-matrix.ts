/** Decompositions in float64. The build puts what of ml-matrix they need into this file; `lora/decompose.ts` calls them. */
export { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';
